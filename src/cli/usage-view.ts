/** A log's integer units as the units people read. */
export function usageView(usage: {
  readonly cpuCoreMs: number;
  readonly ramMibSeconds: number;
  readonly netBytes: number | null;
  readonly basis: string;
}) {
  const { cpuCoreMs, ramMibSeconds, netBytes, basis } = usage;
  return { cpuCoreSeconds: cpuCoreMs / 1000, ramMibSeconds, netBytes, basis };
}
