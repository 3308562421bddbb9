// Profiles in keyfiles, as RHEL 9 has them.
import { networkManagerLife } from './networkmanager-life.ts';

networkManagerLife('networkmanager', 'keyfile');
