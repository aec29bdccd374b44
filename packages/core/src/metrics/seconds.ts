/** Buckets for what others answer or many steps take: a model, a bucket, a sweep. A tenth of a second is usual, minutes are possible. */
export const SLOW_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
