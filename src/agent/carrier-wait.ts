// At boot NetworkManager waits for the carrier of each NIC that has a profile, six seconds of the boot, where networkd's
// files call a NIC optional: a port of ours that is shut would make all that waits for the network later. With this it
// configures such a NIC when its carrier comes.
export const CARRIER_WAIT_PATH = 'etc/NetworkManager/conf.d/90-multinic-carrier.conf';

export const CARRIER_WAIT = `# Written by multinic-agent: a boot does not wait for the carrier of these NICs.
[device-multinic]
match-device=interface-name:multinic*
carrier-wait-timeout=0
`;
