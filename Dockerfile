# syntax=docker/dockerfile:1.7
# Bake once, start instantly: models are fetched, verified, loaded and tried while the image is built, so that a
# container needs no network. docs/warm-cache.md explains the arguments. Each platform is baked on its own:
# `docker buildx build --platform linux/amd64,linux/arm64 .`

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

FROM base AS wheel
WORKDIR /src
COPY requirements/build.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement build.txt
COPY pyproject.toml README.md LICENSE ./
COPY imgtool imgtool
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

# What running needs: every file by its hash. Compiled models need no torch, so EXTRAS is empty by default; what it names
# is installed within the constraints, torch in the version that fits.
FROM base AS environment
ARG EXTRAS=""
COPY requirements /requirements
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/imgtool \
    && pip install --no-cache-dir --require-hashes --requirement /requirements/runtime.txt \
    && pip install --no-cache-dir --no-deps /wheels/*.whl
RUN if [ -n "${EXTRAS}" ]; then \
      pip install --no-cache-dir --constraint /requirements/constraints.txt "$(echo /wheels/*.whl)[${EXTRAS}]"; \
    fi

# What baking needs too. Nothing is left to install where EXTRAS has torch already.
FROM environment AS bake
RUN pip install --no-cache-dir --constraint /requirements/constraints.txt "$(echo /wheels/*.whl)[torch]"
# A mirror of the hub, for build machines that cannot reach it; empty means the hub's own address.
ARG HF_ENDPOINT=""
RUN imgtool warm-cache && imgtool warm-cache --full-check

FROM base AS runtime
RUN groupadd --gid 10001 imgtool && useradd --create-home --uid 10001 --gid 10001 imgtool
COPY --from=environment /opt/imgtool /opt/imgtool
COPY --from=bake --chown=10001:10001 /var/cache/imgtool /var/cache/imgtool
USER 10001:10001
WORKDIR /data
# No HEALTHCHECK: a command ends, and nothing that runs on is to be asked. `imgtool warm-cache --check` tells whether the
# models are whole.
ENTRYPOINT ["imgtool"]
CMD ["--help"]
