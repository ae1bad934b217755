/**
 * Texts that stand in the development flavour and must not stand in production, one for each thing production leaves
 * out. Whoever adds a development-only module adds its marker here.
 */
export const DEVELOPMENT_MARKERS: readonly string[] = [
  "TEST ROOT CA (not Intel)", // the simulator's root (DESIGN section 11)
  "compute-bridge local backend (no isolation)", // the local backend (DESIGN section 8)
  "compute-bridge embedded coalition (development, one machine, no anonymity)", // the demo's (DESIGN section 14)
];
