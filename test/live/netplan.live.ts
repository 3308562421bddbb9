// Debian 12: systemd 252, netplan 0.106.
import { netplanLife } from './netplan-life.ts';

netplanLife('netplan');
