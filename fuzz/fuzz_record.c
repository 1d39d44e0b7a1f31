/* The record of a resumable upload: what is read is written again as it was, and ranges stay in
 * order whatever is added and dropped. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "daemon/common/record.h"
#include "fuzz/fuzz.h"

static void
check_ranges(const struct record_ranges *r)
{
	must(r->n <= RECORD_RANGES_MAX);
	for (unsigned i = 0; i < r->n; i++) {
		must(r->list[i].first < r->list[i].end && r->list[i].end <= INT64_MAX);
		must(i == 0 || r->list[i - 1].end < r->list[i].first);
		must(record_holds(r, r->list[i].first, r->list[i].end));
	}
}

/* Pairs of bytes are places. */
static void
change_ranges(struct record_ranges *r, const uint8_t *data, size_t size)
{
	for (; size >= 4; data += 4, size -= 4) {
		uint64_t first = (uint64_t)(data[0] << 8 | data[1]);
		uint64_t end = first + data[2];

		if (data[3] & 1) {
			if (record_add(r, first, end) == 0)
				must(record_holds(r, first, end));
		} else if (record_drop(r, first, end) == 0) {
			must(first == end || !record_holds(r, first, end));
		}
		check_ranges(r);
	}
}

static void
read_slot(const uint8_t *data)
{
	static struct record_state state, again;
	static uint8_t copy[RECORD_SLOT];

	if (record_read_slot(data, &state) < 0)
		return;
	record_write_slot(&state, copy);
	must(record_read_slot(copy, &again) == 0);
	must(again.sequence == state.sequence && again.phase == state.phase);
	must(again.receipt.len == state.receipt.len && again.ranges.n == state.ranges.n);
	check_ranges(&state.ranges);
}

static void
read_head(const uint8_t *data)
{
	uint8_t copy[RECORD_HEAD];
	struct record_head head, again;

	if (record_read_head(data, &head) < 0)
		return;
	record_write_head(&head, copy);
	must(record_read_head(copy, &again) == 0);
	must(memcmp(&head, &again, sizeof(head)) == 0);
}

/* No fuzzer guesses a checksum. */
static void
seal(uint8_t *data, size_t size)
{
	uint64_t check = htole64(XXH3_64bits(data, size - sizeof(check)));

	memcpy(data + size - sizeof(check), &check, sizeof(check));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t head[RECORD_HEAD], slot[RECORD_SLOT];
	static struct record_ranges ranges;

	memset(head, 0, sizeof(head));
	memset(slot, 0, sizeof(slot));
	if (size > 0) {
		memcpy(head, data, size < sizeof(head) ? size : sizeof(head));
		memcpy(slot, data, size < sizeof(slot) ? size : sizeof(slot));
	}
	read_head(head);
	read_slot(slot);
	seal(head, sizeof(head));
	seal(slot, sizeof(slot));
	read_head(head);
	read_slot(slot);
	ranges.n = 0;
	change_ranges(&ranges, data, size);
	return 0;
}
