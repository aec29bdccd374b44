/**
 * What Node is started with for the gateway; scripts/image/entrypoint.sh says the same (a test compares).
 *
 * Bodies are Buffers, whose bytes V8 keeps outside its heap. With a large young generation (16 to 32 MB for each half, where there is memory)
 * so many of them die between two of its small collections that their bytes alone start a large one: at 1,000 events/s every second,
 * with the other core busy too. With 8 MB the small ones come in time (docs/benchmarks.md, "Where the slowest come from").
 */
export const GATEWAY_NODE_OPTIONS: readonly string[] = ['--max-semi-space-size=8']
