# Driver and workers of a Ray cluster: the same image for head and worker nodes (docs/ray.md).
#   docker build -t scenario-search .
#   docker run --rm -v "$PWD:/study" scenario-search run study.yaml
FROM python:3.11-slim

WORKDIR /opt/scenario-search
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY search search
COPY dagster_defs dagster_defs
RUN pip install --no-cache-dir --constraint constraints.txt '.[postgresql,excel]' \
    && rm -rf build *.egg-info \
    && useradd --create-home study

# Results hold salaries: nothing here runs as root.
USER study
WORKDIR /study
ENTRYPOINT ["scenario-search"]
