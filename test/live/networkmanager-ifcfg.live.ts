// Profiles in ifcfg files, as RHEL 8 has them.
import { networkManagerLife } from './networkmanager-life.ts';

networkManagerLife('networkmanager-ifcfg', 'ifcfg');
