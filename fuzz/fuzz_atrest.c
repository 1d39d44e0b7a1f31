/* Notes of digests: what is read is written again as it was. */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <xxhash.h>

#include "daemon/session/atrest_record.h"
#include "fuzz/fuzz.h"

static void
read_and_write(const uint8_t *data, size_t size)
{
	uint8_t again[ATREST_RECORD];
	struct atrest_record r;
	struct digest_value v;
	int e = atrest_decode(data, size, &r);

	must(e == 0 || e == -EBADMSG);
	if (e < 0)
		return;
	must(atrest_find(&r, DIGEST_XXH3, &v) == r.has_xxh3);
	must(atrest_find(&r, DIGEST_BLOCKS, &v) == r.has_blocks);
	atrest_encode(&r, again);
	/* a digest that is not there may be anything */
	must(memcmp(data, again, 18) == 0);
	must(!r.has_xxh3 || memcmp(data + 18, again + 18, ATREST_DIGEST) == 0);
	must(!r.has_blocks || memcmp(data + 34, again + 34, ATREST_DIGEST) == 0);
}

static void
read_place(const uint8_t *data, size_t size)
{
	const struct atrest_file f = { 1, 2, 3 };
	struct atrest_record r;
	int e = atrest_decode_place(data, size, &f, &r);

	must(e == 0 || e == -EBADMSG);
}

/* No fuzzer guesses a checksum. */
static void
seal(uint8_t *data, size_t len)
{
	uint64_t check = htole64(XXH3_64bits(data, len));

	memcpy(data + len, &check, sizeof(check));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t copy[ATREST_PLACE] = { 0 };

	read_and_write(data, size);
	read_place(data, size);
	memcpy(copy, data, size < sizeof(copy) ? size : sizeof(copy));
	seal(copy, ATREST_RECORD - sizeof(uint64_t));
	read_and_write(copy, ATREST_RECORD);
	memcpy(copy, data, size < sizeof(copy) ? size : sizeof(copy));
	seal(copy, 24 + ATREST_RECORD);
	read_place(copy, sizeof(copy));
	return 0;
}
