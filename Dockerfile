# The image of the controller. `make image` builds it with docker, podman or buildah.
#
# requirements/ pins every package by its hash, so the source of the packages does not matter. The result
# depends only on these files and on BASE, not on time, order or names.
ARG BASE=python:3.13-slim-bookworm

# --- The program: everything is installed in one folder --------------------------------------------
FROM ${BASE} AS program
# Set your own package index, or its CA bundle, with --build-arg.
ARG PIP_INDEX_URL
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
# The date of wheels and files; `make image` sets that of the last commit.
ARG SOURCE_DATE_EPOCH=1767225600

# Parts of the SDK are available as source only. They are pure Python, so they need a build backend, but
# no compiler.
COPY requirements/image.txt requirements/run.txt /src/requirements/
RUN python3 -m venv /tools \
 && /tools/bin/pip install --quiet --only-binary :all: --require-hashes \
    -r /src/requirements/image.txt \
 && /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --require-hashes \
    --wheel-dir /wheels -r /src/requirements/run.txt

COPY pyproject.toml README.md LICENSE /src/
COPY crds /src/crds
COPY secret_sync /src/secret_sync
# Compiled, because on a read-only root each start would otherwise take seconds longer. With unchecked
# hashes, because timestamps would differ from build to build.
RUN /tools/bin/pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir /wheels /src \
 && python3 -m venv --without-pip /opt/secret-sync \
 && /tools/bin/pip --python /opt/secret-sync/bin/python install --quiet --no-deps --no-index \
    --no-compile /wheels/*.whl \
 && cd /opt/secret-sync && rm -rf bin/[Aa]ctivate* include \
 && python3 -m compileall -q --invalidation-mode unchecked-hash -x 'kubernetes_asyncio/client/(api|models)/' lib \
 && find . -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

# --- The root: the base without installers, build tools and setuid programs ------------------------
FROM ${BASE} AS root
ARG SOURCE_DATE_EPOCH=1767225600
# Both paths: Debian's Python is in /usr, that of python:slim in /usr/local. The package list of dpkg stays
# for scanners.
RUN for lib in /usr/local/lib/python3* /usr/lib/python3*; do \
      [ -d "$lib" ] || continue; \
      rm -rf "$lib"/ensurepip "$lib"/idlelib "$lib"/lib2to3 "$lib"/pydoc_data "$lib"/test \
        "$lib"/tkinter "$lib"/turtledemo "$lib"/config-3* "$lib"/*-packages/pip "$lib"/*-packages/pip-* \
        "$lib"/*-packages/setuptools* "$lib"/*-packages/wheel*; \
      [ ! -f "$lib"/os.py ] || python3 -m compileall -q --invalidation-mode unchecked-hash "$lib"; \
    done \
 && rm -rf /usr/local/bin/pip* /usr/local/bin/idle* /usr/bin/pip* /usr/share/python-wheels \
    /usr/share/doc /usr/share/gcc /usr/share/man /usr/share/info /usr/share/locale /usr/share/lintian \
    /usr/lib/apt /usr/lib/*/libapt-* /etc/apt /var/lib/apt /usr/lib/dpkg /usr/share/dpkg \
    /var/cache/* /var/log/* /root/.cache /tmp/* \
 && find / -xdev -type f -perm /111 \( -name apt -o -name 'apt-*' -o -name 'dpkg*' \) -delete \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && find /etc /root /usr /var -xdev -newermt "@${SOURCE_DATE_EPOCH}" \
    ! -path /etc/hosts ! -path /etc/resolv.conf ! -path /etc/hostname \
    -exec touch --no-dereference --date "@${SOURCE_DATE_EPOCH}" {} +

# --- The image ------------------------------------------------------------------------------------
FROM scratch
COPY --from=root / /
COPY --from=program /opt/secret-sync /opt/secret-sync
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=2026-01-01T00:00:00Z
LABEL org.opencontainers.image.title="secret-sync" \
      org.opencontainers.image.description="Keeps Kubernetes Secrets in sync with Alibaba Cloud KMS" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# The process writes no files. HOME does not exist, so it reads none there either.
ENV PATH=/opt/secret-sync/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/nonexistent LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Numeric, so that Kubernetes can verify that it is not root.
USER 65532:65532
WORKDIR /
EXPOSE 8080
ENTRYPOINT ["secret-sync"]
CMD ["run"]
