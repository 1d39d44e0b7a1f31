#include "daemon/common/ledger_file.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#define MAGIC "FTDQUOTA"
enum { LAYOUT = 1 };

/* Numbers are little-endian on disk and turned where they are read and written. */
struct disk_header {
	char magic[8];
	uint32_t version, flags;
	uint64_t used, changes, moves, counted_ns;
	uint32_t done, pad;
	uint64_t check; /* XXH3 of all before it */
};

struct disk_record {
	uint32_t state, elsewhere;
	uint64_t session, number;
	uint64_t bytes, credit;
	uint64_t pad[2];
	uint64_t check;
};

_Static_assert(sizeof(struct disk_header) == LEDGER_ENTRY, "a header is one entry");
_Static_assert(sizeof(struct disk_record) == LEDGER_ENTRY, "a record is one entry");

static uint64_t
check_of(const void *entry)
{
	return htole64(XXH3_64bits(entry, LEDGER_ENTRY - sizeof(uint64_t)));
}

static int
read_header(const uint8_t *data, struct ledger_header *ret)
{
	struct disk_header d;

	memcpy(&d, data, sizeof(d));
	if (memcmp(d.magic, MAGIC, sizeof(d.magic)) != 0 || le32toh(d.version) != LAYOUT ||
	    d.check != check_of(&d))
		return -EBADMSG;
	*ret = (struct ledger_header){
		.flags = le32toh(d.flags),
		.done = le32toh(d.done),
		.used = le64toh(d.used),
		.changes = le64toh(d.changes),
		.moves = le64toh(d.moves),
		.counted_ns = (int64_t)le64toh(d.counted_ns),
	};
	return (ret->flags & ~(uint32_t)(LEDGER_UNSURE | LEDGER_UNKNOWN)) == 0 &&
		       ret->used <= INT64_MAX && d.pad == 0
		   ? 0
		   : -EBADMSG;
}

void
ledger_write_header(const struct ledger_header *h, uint8_t dst[LEDGER_ENTRY])
{
	struct disk_header d = {
		.magic = MAGIC,
		.version = htole32(LAYOUT),
		.flags = htole32(h->flags),
		.done = htole32(h->done),
		.used = htole64(h->used),
		.changes = htole64(h->changes),
		.moves = htole64(h->moves),
		.counted_ns = htole64((uint64_t)h->counted_ns),
	};

	d.check = check_of(&d);
	memcpy(dst, &d, sizeof(d));
}

static int
read_record(const uint8_t *data, struct ledger_record *ret)
{
	static const uint8_t nothing[LEDGER_ENTRY];
	struct disk_record d;

	*ret = (struct ledger_record){ .state = LEDGER_FREE };
	if (memcmp(data, nothing, LEDGER_ENTRY) == 0)
		return 0;
	memcpy(&d, data, sizeof(d));
	*ret = (struct ledger_record){
		.state = (enum ledger_state)le32toh(d.state),
		.elsewhere = d.elsewhere != 0,
		.id = { .session = le64toh(d.session), .number = le64toh(d.number) },
		.bytes = le64toh(d.bytes),
		.credit = le64toh(d.credit),
	};
	return d.check == check_of(&d) && ret->state > LEDGER_FREE && ret->state < LEDGER_STATES &&
		       le32toh(d.elsewhere) <= 1 && ret->bytes <= INT64_MAX &&
		       ret->credit <= INT64_MAX && d.pad[0] == 0 && d.pad[1] == 0
		   ? 0
		   : -EBADMSG;
}

void
ledger_write_record(const struct ledger_record *r, uint8_t dst[LEDGER_ENTRY])
{
	struct disk_record d = {
		.state = htole32((uint32_t)r->state),
		.elsewhere = htole32(r->elsewhere),
		.session = htole64(r->id.session),
		.number = htole64(r->id.number),
		.bytes = htole64(r->bytes),
		.credit = htole64(r->credit),
	};

	memset(dst, 0, LEDGER_ENTRY);
	if (r->state == LEDGER_FREE)
		return;
	d.check = check_of(&d);
	memcpy(dst, &d, sizeof(d));
}

int
ledger_read(const uint8_t *data, size_t len, struct ledger_image *ret)
{
	struct ledger_image image = { .n = len / LEDGER_ENTRY };
	int r;

	if (len < LEDGER_ENTRY || len > LEDGER_FILE_MAX || len % LEDGER_ENTRY != 0)
		return -EBADMSG;
	image.n--;
	r = read_header(data, &image.header);
	if (r < 0 || image.header.done > image.n)
		return -EBADMSG;
	image.records = calloc(image.n + 1, sizeof(*image.records));
	if (image.records == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < image.n && r == 0; i++)
		r = read_record(data + LEDGER_ENTRY * (i + 1), &image.records[i]);
	if (r < 0) {
		ledger_image_done(&image);
		return r;
	}
	*ret = image;
	return 0;
}

void
ledger_image_done(struct ledger_image *image)
{
	free(image->records);
	*image = (struct ledger_image){ .n = 0 };
}

uint64_t
ledger_reserved(const struct ledger_image *image)
{
	uint64_t sum = 0;

	/* each is at most INT64_MAX: the sum of two does not wrap */
	for (size_t i = 0; i < image->n; i++) {
		sum += image->records[i].bytes;
		if (sum > INT64_MAX)
			return INT64_MAX;
	}
	return sum;
}
