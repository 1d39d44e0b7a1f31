/*
 * Numbers as people and configuration files write them. Pure; nothing is accepted that is not
 * wholly understood. fuzz/fuzz_num.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NUM_UNLIMITED UINT64_MAX

/* Decimal digits only, no sign, no space. -EINVAL, or -ERANGE above max. */
int num_parse_u64(const char *s, uint64_t max, uint64_t *ret);

/* "0", "512", "64K", "10M", "1.5G", "2T" (powers of 1,024; also "KiB", "MiB", "GiB", "TiB", "B"),
 * "unlimited" → NUM_UNLIMITED. Six decimals at most, whole bytes, at most 2^63-1.
 * -EINVAL, -ERANGE. */
int num_parse_size(const char *s, uint64_t *ret);

/* "250ms", "30s", "5m", "2h", "7d", a sum "1h30m"; larger units first; a bare number is refused
 * (but "0"). Microseconds, at most 10 years. -EINVAL, -ERANGE. */
int num_parse_duration(const char *s, uint64_t *ret_usec);

/* "40M" or "40M/s": bytes a second; "unlimited". -EINVAL, -ERANGE. */
int num_parse_rate(const char *s, uint64_t *ret);

enum { NUM_TEXT_MAX = 32 };

/* "0 B", "512 B", "1.5 KiB", "12.4 GiB"; "unlimited". Returns buf (NUM_TEXT_MAX bytes). */
const char *num_format_size(uint64_t n, char *buf);

/* As a configuration value: exact, shortest: "10M", "1536K", "unlimited". Returns buf. */
const char *num_format_size_exact(uint64_t n, char *buf);

/* As a configuration value, exact to the millisecond: "90s", "1500ms", "15m", "7d", "0". Returns
 * buf. */
const char *num_format_duration_exact(uint64_t usec, char *buf);

/* For people: "0:56", "2:11:40", "6d 03:41". Returns buf. */
const char *num_format_elapsed(uint64_t usec, char *buf);
