# One image for the controller and for the agents. A clean checkout is enough:
#   docker build --tag multinic-agent .
# BASE is an image with Node 24 and npm on Debian. With DIST=prebuilt the bundle in dist/ is taken as it is.
ARG BASE=docker.io/library/node:24-trixie-slim
ARG DIST=compiled

FROM ${BASE} AS compiled
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM ${BASE} AS prebuilt
COPY dist /src/dist

FROM ${DIST} AS dist

FROM ${BASE}

# git holds the store, flock (util-linux) its locks; agents set links with ip. Nothing installs packages in the image.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git util-linux iproute2 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /usr/local/lib/node_modules /opt/yarn* \
    && rm -f /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg

# In an agent's pod the host is at /host: operators look at its files where they are on the node.
RUN mkdir -p /etc/sysconfig \
    && ln -sfn /host/etc/netplan /etc/netplan \
    && ln -sfn /host/etc/sysconfig/network-scripts /etc/sysconfig/network-scripts \
    && ln -sfn /host/etc/NetworkManager /etc/NetworkManager

COPY --from=dist /src/dist /opt/multinic/
# Before a RUN, whose layer depends on them: buildah takes a LABEL with other values from its cache.
ARG VERSION=dev
ARG REVISION=unknown
RUN find /opt/multinic -name '*.map' -delete \
    && ln -s /opt/multinic/multinic.js /usr/local/bin/multinic \
    && ln -s /opt/multinic/multinic.js /usr/local/bin/kubectl-multinic

LABEL org.opencontainers.image.title="multinic-agent" \
      org.opencontainers.image.description="GitOps for the many NICs of OpenStack VMs that are Kubernetes nodes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

# The controller is nobody in particular; a Job's pod says that its agent is root.
USER 1000:1000
ENTRYPOINT ["multinic"]
