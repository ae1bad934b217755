/**
 * Stands in every login banner and log of the local backend. The production build must not contain it, and CI
 * looks for exactly these bytes.
 */
export const LOCAL_BACKEND_MARKER = "compute-bridge local backend (no isolation)";
