# Rollcall's command, for control planes and agents: docker build -t rollcall .
# An agent runs services as its children: whatever else they need (Python, a compiler) goes into an image made FROM this one.

FROM node:20-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build \
 && npm pack --silent --ignore-scripts \
 && mkdir /package \
 && tar -xzf rollcall-*.tgz -C /package --strip-components=1 \
 && cp package-lock.json .npmrc /package/ \
 && cd /package \
 && npm ci --omit=dev

FROM node:20-bookworm-slim
# git: releases from repositories. tini: the first process of a container must collect ended children, and node does not.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git tini \
 && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production ROLLCALL_DATA=/data
COPY --from=build /package /opt/rollcall
RUN chmod 755 /opt/rollcall/dist/src/cli/main.js \
 && ln -s /opt/rollcall/dist/src/cli/main.js /usr/local/bin/rollcall \
 && mkdir /data \
 && chown node:node /data
USER node
WORKDIR /data
# The end of an agent's container is the end of its services: Docker kills what is left when the first process has ended.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "rollcall"]
CMD ["--help"]
