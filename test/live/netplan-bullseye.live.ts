// Debian 11: systemd 247, netplan 0.101.
import { netplanLife } from './netplan-life.ts';

netplanLife('netplan-bullseye');
