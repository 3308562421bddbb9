# One image for the controller and for the agents. `npm run build` comes first: what runs is the bundle, and nothing else
# of npm is in the image. scripts/build-and-deploy.sh does both.
FROM node:24-trixie-slim

# git holds the store, flock (util-linux) its locks; agents set links with ip.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git util-linux iproute2 ca-certificates \
    && rm -rf /var/lib/apt/lists/*

# In an agent's pod the host is at /host: operators look at its files where they are on the node.
RUN mkdir -p /etc/sysconfig \
    && ln -sfn /host/etc/netplan /etc/netplan \
    && ln -sfn /host/etc/sysconfig/network-scripts /etc/sysconfig/network-scripts \
    && ln -sfn /host/etc/NetworkManager /etc/NetworkManager

COPY dist /opt/multinic/
RUN ln -s /opt/multinic/multinic.js /usr/local/bin/multinic \
    && ln -s /opt/multinic/multinic.js /usr/local/bin/kubectl-multinic

LABEL org.opencontainers.image.title="multinic-agent" \
      org.opencontainers.image.licenses="Apache-2.0"

# The controller is nobody in particular; a Job's pod says that its agent is root.
USER 1000:1000
ENTRYPOINT ["multinic"]
