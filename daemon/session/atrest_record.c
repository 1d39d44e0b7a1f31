#include "daemon/session/atrest_record.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <xxhash.h>

enum { LAYOUT = 1, HAS_XXH3 = 1 << 0, HAS_BLOCKS = 1 << 1, HAS_ALL = HAS_XXH3 | HAS_BLOCKS };

struct __attribute__((packed)) disk_record {
	uint8_t version, has;
	uint64_t size, mtime_ns;
	uint8_t xxh3[ATREST_DIGEST], blocks[ATREST_DIGEST];
	uint64_t check; /* XXH3-64 of what is before it */
};
_Static_assert(sizeof(struct disk_record) == ATREST_RECORD, "the record has another size");

struct __attribute__((packed)) disk_place {
	uint64_t device, inode, birth_ns;
	struct disk_record record;
	uint64_t check; /* of all before it */
	uint8_t rest[38];
};
_Static_assert(sizeof(struct disk_place) == ATREST_PLACE, "a place has another size");

void
atrest_encode(const struct atrest_record *r, uint8_t dst[ATREST_RECORD])
{
	struct disk_record d = {
		.version = LAYOUT,
		.has = (uint8_t)((r->has_xxh3 ? HAS_XXH3 : 0) | (r->has_blocks ? HAS_BLOCKS : 0)),
		.size = htole64(r->size),
		.mtime_ns = htole64((uint64_t)r->mtime_ns),
	};

	if (r->has_xxh3)
		memcpy(d.xxh3, r->xxh3, sizeof(d.xxh3));
	if (r->has_blocks)
		memcpy(d.blocks, r->blocks, sizeof(d.blocks));
	d.check = htole64(XXH3_64bits(&d, offsetof(struct disk_record, check)));
	memcpy(dst, &d, sizeof(d));
}

int
atrest_decode(const uint8_t *data, size_t len, struct atrest_record *ret)
{
	struct disk_record d;

	if (len != sizeof(d))
		return -EBADMSG;
	memcpy(&d, data, sizeof(d));
	if (d.version != LAYOUT || d.has > HAS_ALL ||
	    d.check != htole64(XXH3_64bits(&d, offsetof(struct disk_record, check))))
		return -EBADMSG;
	*ret = (struct atrest_record){
		.size = le64toh(d.size),
		.mtime_ns = (int64_t)le64toh(d.mtime_ns),
		.has_xxh3 = (d.has & HAS_XXH3) != 0,
		.has_blocks = (d.has & HAS_BLOCKS) != 0,
	};
	memcpy(ret->xxh3, d.xxh3, sizeof(ret->xxh3));
	memcpy(ret->blocks, d.blocks, sizeof(ret->blocks));
	return 0;
}

void
atrest_encode_place(const struct atrest_file *f, const struct atrest_record *r,
		    uint8_t dst[ATREST_PLACE])
{
	struct disk_place d = {
		.device = htole64(f->device),
		.inode = htole64(f->inode),
		.birth_ns = htole64((uint64_t)f->birth_ns),
	};
	uint8_t record[ATREST_RECORD];

	atrest_encode(r, record);
	memcpy(&d.record, record, sizeof(record));
	d.check = htole64(XXH3_64bits(&d, offsetof(struct disk_place, check)));
	memcpy(dst, &d, sizeof(d));
}

int
atrest_decode_place(const uint8_t *data, size_t len, const struct atrest_file *f,
		    struct atrest_record *ret)
{
	struct disk_place d;

	if (len != sizeof(d))
		return -EBADMSG;
	memcpy(&d, data, sizeof(d));
	if (d.device != htole64(f->device) || d.inode != htole64(f->inode) ||
	    d.birth_ns != htole64((uint64_t)f->birth_ns) ||
	    d.check != htole64(XXH3_64bits(&d, offsetof(struct disk_place, check))))
		return -EBADMSG;
	return atrest_decode(data + offsetof(struct disk_place, record), sizeof(d.record), ret);
}

bool
atrest_find(const struct atrest_record *r, enum digest_algorithm a, struct digest_value *ret)
{
	bool has = a == DIGEST_XXH3 ? r->has_xxh3 : a == DIGEST_BLOCKS && r->has_blocks;

	if (!has)
		return false;
	*ret = (struct digest_value){ .algorithm = a };
	memcpy(ret->bytes, a == DIGEST_XXH3 ? r->xxh3 : r->blocks, ATREST_DIGEST);
	return true;
}

void
atrest_note(struct atrest_record *r, const struct digest_value *v)
{
	if (v->algorithm == DIGEST_XXH3) {
		r->has_xxh3 = true;
		memcpy(r->xxh3, v->bytes, ATREST_DIGEST);
	} else if (v->algorithm == DIGEST_BLOCKS) {
		r->has_blocks = true;
		memcpy(r->blocks, v->bytes, ATREST_DIGEST);
	}
}
