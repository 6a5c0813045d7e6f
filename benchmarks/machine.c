#define _DEFAULT_SOURCE /* madvise(), MAP_ANONYMOUS */
#include "benchmarks/machine.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/base/clock.h"

#define PEAK_SECONDS        0.05 /* long enough that starting threads does not count */
#define PEAK_ROUNDS         10000
#define PEAK_T              32 /* a tile that stays in the first-level cache */
#define PEAK_R              6
#define PEAK_K              256
#define BANDWIDTH_BYTES     ((size_t)512 << 20)
#define MIN_BANDWIDTH_BYTES ((size_t)64 << 20)
#define STRIPE_BYTES        ((size_t)1 << 20) /* what a thread reads at a time */
#define LANES               32

static const struct kernel_peak *find_peak(const struct kernel_set *kernels, const char *name)
{
    for (int i = 0; i < KERNEL_MAX_PEAKS && kernels->peaks[i].name; i++)
        if (strcmp(kernels->peaks[i].name, name) == 0) return &kernels->peaks[i];
    return NULL;
}

static status_code own_memory(struct machine *machine, struct status *st)
{
    void *memory =
        mmap(NULL, BANDWIDTH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return status_no_memory(st, "measuring the bandwidth");
    madvise(memory, BANDWIDTH_BYTES, MADV_HUGEPAGE); /* refused: small pages are read */
    unsigned char *bytes = memory;
#pragma omp parallel for schedule(static) num_threads(machine->n_threads)
    for (size_t i = 0; i < BANDWIDTH_BYTES; i += STRIPE_BYTES) memset(bytes + i, 1, STRIPE_BYTES);
    machine->own = memory;
    machine->memory = memory;
    machine->n_bytes = BANDWIDTH_BYTES;
    return STATUS_OK;
}

status_code machine_init(struct machine *machine, const struct machine_options *o,
                         struct status *st)
{
    const struct kernel_peak *peak = find_peak(o->kernels, o->compute);
    if (!peak) peak = find_peak(o->kernels, "f32");
    *machine = (struct machine){.kernels = o->kernels,
                                .peak = peak,
                                .compute = peak ? peak->name : "f32",
                                .n_threads = o->n_threads,
                                .memory = o->memory,
                                .n_bytes = o->n_bytes};
    return o->n_bytes >= MIN_BANDWIDTH_BYTES ? STATUS_OK : own_memory(machine, st);
}

void machine_release(struct machine *machine)
{
    if (machine->own) munmap(machine->own, BANDWIDTH_BYTES);
    *machine = (struct machine){0};
}

static double peak_operations(const struct kernel_peak *peak)
{
    double start = clock_seconds(), now = start, rounds = 0;
    volatile double ignored;
    while (now - start < PEAK_SECONDS) {
        ignored = peak->run(PEAK_ROUNDS);
        rounds += PEAK_ROUNDS;
        now = clock_seconds();
    }
    (void)ignored;
    return peak->operations * rounds / (now - start);
}

/* Where a set has no loop that stays in registers: its product on data in the nearest cache. */
static double tile_operations(const struct kernel_set *kernels)
{
    float x[PEAK_T * PEAK_K], w[PEAK_R * PEAK_K], out[PEAK_T * PEAK_R];
    for (size_t i = 0; i < PEAK_T * PEAK_K; i++) x[i] = 0.5f;
    for (size_t i = 0; i < PEAK_R * PEAK_K; i++) w[i] = 0.25f;
    double start = clock_seconds(), now = start, tiles = 0;
    while (now - start < PEAK_SECONDS) {
        for (int i = 0; i < 64; i++)
            kernels->dot_tile(out, PEAK_R, x, PEAK_K, w, PEAK_K, PEAK_T, PEAK_R, PEAK_K);
        tiles += 64;
        now = clock_seconds();
    }
    return 2.0 * PEAK_T * PEAK_R * PEAK_K * tiles / (now - start);
}

/* Adds what is read, so that it has to be read; many sums, so that adding is not what takes time.
 */
static uint64_t read_stripe(const uint64_t *words)
{
    uint64_t sums[LANES] = {0}, total = 0;
    for (size_t i = 0; i < STRIPE_BYTES / sizeof *words; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) sums[lane] += words[i + lane];
    for (size_t lane = 0; lane < LANES; lane++) total += sums[lane];
    return total;
}

void machine_sample(struct machine *machine)
{
    const struct kernel_set *kernels = machine->kernels;
    const uint64_t *words = machine->memory;
    const size_t n_stripes = machine->n_bytes / STRIPE_BYTES;
    double operations = 0; /* a sum of speeds, which are no results: their order does not matter */
    uint64_t total = 0;
#pragma omp parallel num_threads(machine->n_threads) reduction(+ : operations)
    operations += machine->peak ? peak_operations(machine->peak) : tile_operations(kernels);
    double start = clock_seconds();
#pragma omp parallel for schedule(static) num_threads(machine->n_threads) reduction(+ : total)
    for (size_t i = 0; i < n_stripes; i++)
        total += read_stripe(words + i * (STRIPE_BYTES / sizeof *words));
    double bandwidth = (double)(n_stripes * STRIPE_BYTES) / (clock_seconds() - start);
    machine->sum += total;
    if (operations > machine->operations) machine->operations = operations;
    if (bandwidth > machine->read_bandwidth) machine->read_bandwidth = bandwidth;
}

void machine_cpu_name(char *out, size_t size)
{
    char line[256];
    out[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    while (!out[0] && fgets(line, sizeof line, file)) {
        char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (colon) snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    fclose(file);
}
