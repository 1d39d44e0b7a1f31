/* The quota file of a user: what is read is written again as it was, and sums never wrap. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "daemon/common/ledger_file.h"
#include "fuzz/fuzz.h"

static void
read_and_write(const uint8_t *data, size_t size)
{
	uint8_t entry[LEDGER_ENTRY];
	struct ledger_image image;
	int r = ledger_read(data, size, &image);

	must(r == 0 || r == -EBADMSG || r == -ENOMEM);
	if (r < 0)
		return;
	must(image.n == size / LEDGER_ENTRY - 1 && image.header.done <= image.n);
	must(image.header.used <= INT64_MAX && ledger_reserved(&image) <= INT64_MAX);
	ledger_write_header(&image.header, entry);
	must(memcmp(data, entry, LEDGER_ENTRY) == 0);
	for (size_t i = 0; i < image.n; i++) {
		must(image.records[i].state < LEDGER_STATES);
		ledger_write_record(&image.records[i], entry);
		must(memcmp(data + LEDGER_ENTRY * (i + 1), entry, LEDGER_ENTRY) == 0);
	}
	ledger_image_done(&image);
}

/* No fuzzer guesses a checksum. */
static void
repair(uint8_t *data, size_t size)
{
	static const uint8_t nothing[LEDGER_ENTRY];
	uint64_t check;

	for (; size >= LEDGER_ENTRY; data += LEDGER_ENTRY, size -= LEDGER_ENTRY) {
		if (memcmp(data, nothing, LEDGER_ENTRY) == 0)
			continue;
		check = htole64(XXH3_64bits(data, LEDGER_ENTRY - sizeof(check)));
		memcpy(data + LEDGER_ENTRY - sizeof(check), &check, sizeof(check));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	read_and_write(data, size);
	copy = malloc(size + 1);
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	repair(copy, size);
	read_and_write(copy, size);
	free(copy);
	return 0;
}
