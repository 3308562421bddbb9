// Debian 13: systemd 257, netplan 1.1.
import { netplanLife } from './netplan-life.ts';

netplanLife('netplan-trixie');
