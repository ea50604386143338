"""What would be sent to a cluster is what Ray sends, and never what must stay."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from search.errors import JobError
from search.workers.ray import upload as ray_upload
from search.workers.ray.cluster_jobs import job_of
from search.workers.ray.lasting import JOB_VARIABLE, require_lasting
from search.workers.ray.upload import plan_upload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "project"
    for name, text in {
        "study.yml": "study: a",
        "models/fct.sql": "select 1",
        "models/.gitignore": "*.tmp",
        "models/x.tmp": "left out",
        ".gitignore": "/logs",
        "logs/dbt.log": "left out",
        ".git/HEAD": "left out",
        ".venv/bin/python": "left out",
        "sub/__pycache__/a.pyc": "left out",
    }.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


def names(folder: Path, *excludes: str) -> set[str]:
    return {str(one.path) for one in plan_upload(folder, excludes).files}


def sent_by_ray(folder: Path, archive: Path, *excludes: str) -> set[str]:
    from ray._private.ray_constants import get_runtime_env_default_excludes
    from ray._private.runtime_env.packaging import create_package

    rules = [*get_runtime_env_default_excludes(), *excludes]
    create_package(str(folder), archive, include_gitignore=True, excludes=rules)
    return {name for name in zipfile.ZipFile(archive).namelist() if not name.endswith("/")}


def test_the_plan_is_what_ray_packs(folder: Path, tmp_path: Path) -> None:
    kept = {"study.yml", "models/fct.sql", "models/.gitignore", ".gitignore"}
    assert names(folder) == kept
    archive = tmp_path / "package.zip"
    assert sent_by_ray(folder, archive) == kept
    assert plan_upload(folder).archive_bytes == archive.stat().st_size
    assert names(folder, "models") == {"study.yml", ".gitignore"}
    assert sent_by_ray(folder, tmp_path / "other.zip", "models") == names(folder, "models")


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("data/base.duckdb", "a database"),
        ("study.db", "a database"),
        ("deep/down/warehouse.duckdb.wal", "a database"),
        (".env", "a secret"),
        ("keys/server.pem", "a secret"),
        ("env/lib/python3.11/site-packages/a.py", "an environment"),
        ("other-env/pyvenv.cfg", "an environment"),
    ],
)
def test_what_must_stay_is_refused_until_it_is_ignored(folder: Path, file: str, why: str) -> None:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text("x")
    with pytest.raises(JobError, match=r"must hold no results") as refused:
        plan_upload(folder)
    assert f"{file} ({why})" in str(refused.value) and ".rayignore" in str(refused.value)
    (folder / ".rayignore").write_text(f"{file.split('/')[0]}\n")
    assert file not in names(folder)


def test_results_of_a_study_are_refused(folder: Path) -> None:
    for name in ("events.jsonl", "study.db", "report.html"):
        (folder / "out").mkdir(exist_ok=True)
        (folder / "out" / name).write_text("x")
    with pytest.raises(JobError, match=r"out/report.html \(results of a study\)"):
        plan_upload(folder)


def test_too_much_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_upload, "LIMIT_BYTES", 2000)
    assert plan_upload(folder).archive_bytes < 2000
    (folder / "census.parquet").write_bytes(b"0" * 2000)
    with pytest.raises(JobError, match=r"100 MiB.*census.parquet \(2.00 KB\)"):
        plan_upload(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="must be a folder"):
        plan_upload(tmp_path / "missing")


def test_a_job_names_the_study_as_the_upload_holds_it(folder: Path, tmp_path: Path) -> None:
    job = job_of(
        study=folder / "study.yml", folder=folder, results=tmp_path, options=["--set=a.b=1 2"],
        runtime_env=None,
    )  # fmt: skip
    expected = f"python -m search run study.yml --results {tmp_path} '--set=a.b=1 2'"
    assert job.entrypoint == expected


def test_mistakes_of_a_job(folder: Path, tmp_path: Path) -> None:
    study, env = folder / "study.yml", tmp_path / "env.yaml"
    with pytest.raises(JobError, match="must be in the folder that is sent"):
        job_of(
            study=study, folder=folder / "models", results=tmp_path, options=(), runtime_env=None
        )
    with pytest.raises(JobError, match="must have an absolute path"):
        job_of(study=study, folder=folder, results=Path("r"), options=(), runtime_env=None)
    with pytest.raises(JobError, match="readable YAML"):
        job_of(study=study, folder=folder, results=tmp_path, options=(), runtime_env=env)
    env.write_text("working_dir: .")
    with pytest.raises(JobError, match="without working_dir"):
        job_of(study=study, folder=folder, results=tmp_path, options=(), runtime_env=env)
    env.write_text("pip: [duckdb]\nexcludes: [models]")
    job = job_of(study=study, folder=folder, results=tmp_path, options=(), runtime_env=env)
    assert job.runtime_env == {"pip": ["duckdb"], "excludes": ["models"]}


def test_results_inside_the_upload_are_refused_in_a_job_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with_upload = {JOB_VARIABLE: json.dumps({"runtime_env": {"working_dir": "gcs://a.zip"}})}
    with pytest.raises(JobError, match="must be kept outside"):
        require_lasting(Path("results"), with_upload)
    require_lasting(tmp_path.parent / "kept", with_upload)
    require_lasting(Path("results"), {})
    require_lasting(Path("results"), {JOB_VARIABLE: json.dumps({"metadata": {}})})
