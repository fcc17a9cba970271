import { Initial1763700000000 } from './initial.ts';

/** Every migration, oldest first. One that has been released is never changed: write another. */
export const MIGRATIONS = [Initial1763700000000];
