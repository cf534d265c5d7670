# Two images: the server alone, without torch (the default), and the demo, which builds and serves (--target demo).
#
#   docker build --tag dartboard .
#   docker run --rm --publish 127.0.0.1:8000:8000 --volume dartboard:/data dartboard

FROM python:3.11-slim AS base
# The address printed in links is the one that `docker run --publish 127.0.0.1:8000:8000` opens; name your own with --env.
ENV PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1 \
    DARTBOARD_DATA=/data \
    DARTBOARD_HOST=0.0.0.0 \
    DARTBOARD_BASE_URL=http://127.0.0.1:8000
RUN useradd --create-home dartboard \
    && install --directory --owner=dartboard --group=dartboard /data /srv/dartboard
WORKDIR /srv/dartboard
VOLUME /data
EXPOSE 8000
# The demo serves only once it has built its store: failures in the first ten minutes do not count.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10m \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

FROM base AS demo
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
COPY --chown=dartboard . .
USER dartboard
RUN make install
ENV PATH=/srv/dartboard/.venv/bin:$PATH
CMD ["make", "demo", "DATA=/data"]

FROM base AS server
COPY . .
RUN pip install --constraint requirements/lock.txt '.[analysis,postgresql]'
USER dartboard
WORKDIR /home/dartboard
CMD ["dartboard", "serve"]
