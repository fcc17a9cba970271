import { DataPath1763900000000 } from './data-path.ts';
import { ImageProof1764000000000 } from './image-proof.ts';
import { Initial1763700000000 } from './initial.ts';
import { NetworkBoot1763800000000 } from './network-boot.ts';
import { NodeLife1763740000000 } from './node-life.ts';

/** Every migration, oldest first. One that has been released is never changed: write another. */
export const MIGRATIONS = [Initial1763700000000, NodeLife1763740000000, NetworkBoot1763800000000, DataPath1763900000000, ImageProof1764000000000];
