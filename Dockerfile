# syntax=docker/dockerfile:1.7
# Bake once, start instantly: models are fetched, verified, loaded and tried while the image is built, so that a
# container needs no network. docs/warm-cache.md explains the arguments.

ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim-bookworm AS base
# Which languages and tasks the image is for; an empty value leaves imgtool's own default.
ARG LANGUAGES=ko,en
ARG TASKS=""
ARG CAPTION_REVISION=""
ENV PATH=/opt/imgtool/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    IMGTOOL_CACHE_DIR=/var/cache/imgtool \
    HF_HOME=/var/cache/imgtool/huggingface \
    EASYOCR_MODULE_PATH=/var/cache/imgtool/easyocr \
    IMGTOOL_LANGUAGES=${LANGUAGES} \
    IMGTOOL_TASKS=${TASKS} \
    IMGTOOL_CAPTION_REVISION=${CAPTION_REVISION}
# OpenCV, which both readers of text use, needs these two. Debian keeps no old versions that could be pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*

FROM base AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY imgtool imgtool
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# What running needs.
FROM base AS environment
ARG EXTRAS=torch
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/imgtool \
    && pip install --no-cache-dir "imgtool[${EXTRAS}] @ file://$(echo /wheels/*.whl)"

# What baking needs too. Nothing is left to install where EXTRAS has torch already.
FROM environment AS bake
RUN pip install --no-cache-dir "imgtool[torch] @ file://$(echo /wheels/*.whl)"
# A mirror of the hub, for build machines that cannot reach it.
ARG HF_ENDPOINT=""
RUN imgtool warm-cache && imgtool warm-cache --full-check

FROM base AS runtime
RUN groupadd --gid 10001 imgtool && useradd --create-home --uid 10001 --gid 10001 imgtool
COPY --from=environment /opt/imgtool /opt/imgtool
COPY --from=bake --chown=10001:10001 /var/cache/imgtool /var/cache/imgtool
USER 10001:10001
WORKDIR /data
HEALTHCHECK --interval=5m --timeout=10s --retries=1 CMD ["imgtool", "warm-cache", "--check"]
ENTRYPOINT ["imgtool"]
CMD ["--help"]
