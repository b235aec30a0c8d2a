# scanweave on a CPU, with all optional groups, in the versions that were tested (requirements.lock).
#   docker build -t scanweave .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/data" scanweave cohort import scans --out glioma
FROM python:3.11-slim AS wheel
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist .

FROM python:3.11-slim
WORKDIR /install
COPY requirements.lock ./
COPY --from=wheel /build/dist dist
# `--torch-backend cpu` lets uv take PyTorch's CPU build, a tenth of the one with CUDA, from where PyTorch keeps it. The
# lock holds no hashes of that build, so these two are taken by version; all others by hash.
RUN sed -n '/^uv==/,/# via/p' requirements.lock > uv.lock \
    && pip install --no-cache-dir --require-hashes --requirement uv.lock \
    && uv pip install --system --no-cache --torch-backend cpu --constraint requirements.lock --no-verify-hashes \
        --no-deps torch torchvision \
    && uv pip install --system --no-cache --torch-backend cpu --constraint requirements.lock "$(echo dist/*.whl)[all]" \
    && rm -rf /install/* \
    && useradd --create-home scanweave
# Compiled kernels, fonts and the like go where any user may write: `docker run -u` brings users without a home.
ENV HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib NUMBA_CACHE_DIR=/tmp/numba
USER scanweave
WORKDIR /data
ENTRYPOINT ["scanweave"]
CMD ["--help"]
