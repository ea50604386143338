"""The report's look and its few lines of script; both stand in the page itself."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b2430;--soft:#5b6776;--line:#dfe4ea;
--accent:#2459c4;--good:#17794a;--good-bg:#e1f4e9;--bad:#b3261e;--bad-bg:#fbe6e4;--warn:#8a5a00;
--warn-bg:#fdf0d4;--band:#bfe5cf;--track:#e7ebf0;--hollow:#5b6776;
--c0:#0b7a75;--c1:#3f93a8;--c2:#7fa7cf;--c3:#a9b4d6;--c4:#c9c3d3;--c5:#d8cfd0}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2028;--ink:#e6eaf0;--soft:#9aa7b6;
--line:#2d3642;--accent:#8ab1ff;--good:#6ed8a0;--good-bg:#163527;--bad:#ff8f86;--bad-bg:#42201e;
--warn:#f0c060;--warn-bg:#3a2d12;--band:#1f4d36;--track:#2a323d;--hollow:#aab6c4;
--c0:#3fe0d0;--c1:#4ba9c0;--c2:#4b7ea8;--c3:#495f88;--c4:#444c66;--c5:#3a3f4e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:27px;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;margin:0 0 4px}
h3{font-size:14px;margin:18px 0 6px}
p{margin:4px 0 10px}
a{color:var(--accent)}
.soft{color:var(--soft)}.small{font-size:13px}
header .row{display:flex;gap:14px;align-items:center;flex-wrap:wrap}
.badge{display:inline-block;padding:3px 11px;border-radius:99px;font-weight:600;font-size:13px;
white-space:nowrap;background:var(--track);color:var(--ink)}
.good{background:var(--good-bg);color:var(--good)}.bad{background:var(--bad-bg);color:var(--bad)}
.warn{background:var(--warn-bg);color:var(--warn)}
.reason{font-size:17px;margin:8px 0 2px;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;margin:14px 0 0;font-size:13px}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
margin:18px 0 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 14px}
.tile b{display:block;font-size:20px;line-height:1.25}.tile span{color:var(--soft);font-size:12.5px}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:18px 20px;margin:18px 0 0}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{padding:6px 10px;text-align:right;border-bottom:1px solid var(--line);vertical-align:middle}
th{font-weight:600;color:var(--soft);font-size:12.5px;vertical-align:bottom}
tbody tr:last-child td{border-bottom:0}
th.t,td.t{text-align:left}td{white-space:nowrap}td.t{white-space:normal;overflow-wrap:break-word;min-width:96px}
.dense td.t{min-width:0}
td small,th small{display:block;color:var(--soft);font-weight:400;font-size:12px}
tr.best td{background:var(--good-bg)}tr.failed td{color:var(--bad)}
.dense td,.dense th{padding:3px 8px;white-space:nowrap;font-size:12.5px}
.dense td.m{white-space:normal;min-width:320px;overflow-wrap:anywhere}
.scroll{max-height:560px;overflow:auto;border:1px solid var(--line);border-radius:8px}
.scroll thead th{position:sticky;top:0;background:var(--card);z-index:1;
box-shadow:0 1px var(--line)}
.scroll th:first-child,.scroll td:first-child{position:sticky;left:0;background:var(--card)}
.scroll th:first-child{z-index:2}.scroll tr.best td:first-child{background:var(--good-bg)}
th button{all:unset;cursor:pointer;font:inherit;color:inherit}
th button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
.chip{display:inline-block;border:1px solid var(--line);border-radius:6px;padding:0 7px;
margin:1px 2px;font-size:12.5px}
.chip.is-best{background:var(--accent);border-color:var(--accent);color:var(--card)}
.chip.is-current{border:1.5px dashed var(--hollow)}
pre,code{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--bg);border:1px solid var(--line);border-radius:8px;padding:10px 12px;
margin:4px 0 12px;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(140px,max-content) 1fr;gap:3px 18px;margin:6px 0;
font-size:13.5px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
details{margin:8px 0 0}summary{cursor:pointer;color:var(--accent);font-size:13.5px}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(430px,1fr));gap:16px 24px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:6px 34px}
figure{margin:0}figcaption{font-size:13.5px;font-weight:600;margin:6px 0 2px}
figcaption span{font-weight:400;color:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:12.5px;color:var(--soft);
margin:4px 0 8px}
.legend svg{vertical-align:-2px;margin-right:5px}
svg{display:block;max-width:100%;height:auto}.legend svg,td svg{display:inline-block}
td svg,svg.fixed{max-width:none}
svg text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--soft)}
svg .strong{fill:var(--ink);font-weight:600}
.track{fill:var(--track)}.band{fill:var(--band)}.axis{stroke:var(--line);fill:none}
.goal{stroke:var(--good);stroke-width:1.5;fill:none}
.dot{fill:var(--accent);fill-opacity:.45}.dots{stroke:var(--accent);stroke-opacity:.45;
stroke-width:4.5;stroke-linecap:round;fill:none}
.mark{fill:var(--accent);stroke:var(--card);stroke-width:1.5}
.hollow{fill:var(--card);stroke:var(--hollow);stroke-width:1.8}
.bestline{stroke:var(--accent);stroke-width:1.6;fill:none}
.cross{stroke:var(--bad);stroke-width:1.5;fill:none}
.l{fill:none;stroke-width:1.1;stroke-opacity:.75}
.l0{stroke:var(--c0)}.l1{stroke:var(--c1)}.l2{stroke:var(--c2)}.l3{stroke:var(--c3)}
.l4{stroke:var(--c4)}.l5{stroke:var(--c5)}.lbest{stroke:var(--accent);stroke-width:3;stroke-opacity:1}
.lnow{stroke:var(--hollow);stroke-width:2;stroke-dasharray:5 4;stroke-opacity:1}
.lfail{stroke:var(--bad);stroke-dasharray:2 4}
.s0{fill:var(--c0)}.s1{fill:var(--c1)}.s2{fill:var(--c2)}.s3{fill:var(--c3)}.s4{fill:var(--c4)}
.s5{fill:var(--c5)}.used{fill:var(--accent)}
@media print{:root{--bg:#fff}body{font-size:11px}main{max-width:none;padding:0}nav{display:none}
section{border:0;border-top:1px solid var(--line);border-radius:0;padding:10px 0}
figure,tr,.tile,pre{break-inside:avoid}h2,h3{break-after:avoid}.scroll{max-height:none;border:0}
.scroll,.wide{overflow:visible}.scroll thead th,.scroll td:first-child{position:static}
.dense td,.dense th{font-size:7.5px;padding:1px 3px}svg.fixed{max-width:100%}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""

JS = """
for(const table of document.querySelectorAll("table.sortable")){
const heads=[...table.tHead.rows[0].cells],body=table.tBodies[0];
heads.forEach((head,i)=>head.querySelector("button").addEventListener("click",()=>{
const up=head.getAttribute("aria-sort")!=="ascending";
heads.forEach(h=>h.removeAttribute("aria-sort"));
head.setAttribute("aria-sort",up?"ascending":"descending");
const key=row=>{const s=row.cells[i].textContent,n=parseFloat(s.replace(/[,\\u2009 ]/g,""));
return s===""?null:isNaN(n)?s:n};
const rows=[...body.rows].map(row=>[key(row),row]);
rows.sort(([a],[b])=>a===null?(b===null?0:1):b===null?-1:
(typeof a==="number"&&typeof b==="number"?a-b:String(a).localeCompare(String(b)))*(up?1:-1));
body.append(...rows.map(pair=>pair[1]))}))}
addEventListener("beforeprint",()=>document.querySelectorAll("details.print").forEach(d=>d.open=true));
"""
