#include "daemon/session/atrest_table.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "lib/io.h"
#include "lib/own.h"

#define TABLE PATH_RESERVED "/digests"
enum { PLACES = 1 << 15 };

/* 0, or -ENODATA where the file system does not tell it from one before it. */
static int
identify(const struct entry_stat *st, struct atrest_file *ret)
{
	if (st->birth_ns == 0)
		return -ENODATA;
	*ret = (struct atrest_file){
		.device = st->device,
		.inode = st->inode,
		.birth_ns = st->birth_ns,
	};
	return 0;
}

static off_t
place_of(const struct atrest_file *f)
{
	return (off_t)(XXH3_64bits(f, sizeof(*f)) % PLACES) * ATREST_PLACE;
}

/* The table, opened once. Borrowed descriptor or -errno. */
static int
open_table(struct session *s, unsigned share, int flags)
{
	struct session_share *h = &s->shares[share];
	auto_close int fd = -1;
	struct stat st;

	if (h->digests >= 0)
		return h->digests;
	fd = h->root >= 0 ? path_open(h->root, TABLE, O_RDWR | flags, 0600, false) : -EIO;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	h->digests = take_fd(&fd);
	return h->digests;
}

int
atrest_table_load(struct session *s, unsigned share, const struct entry_stat *st,
		  struct atrest_record *ret)
{
	uint8_t place[ATREST_PLACE];
	struct atrest_file f;
	ssize_t n;
	int fd, r;

	r = identify(st, &f);
	if (r < 0)
		return r;
	fd = open_table(s, share, 0);
	if (fd < 0)
		return fd;
	n = io_pread_full(fd, place, sizeof(place), place_of(&f));
	return n < 0 ? (int)n : atrest_decode_place(place, (size_t)n, &f, ret);
}

int
atrest_table_store(struct session *s, unsigned share, const struct entry_stat *st,
		   const struct atrest_record *r)
{
	uint8_t place[ATREST_PLACE];
	struct atrest_file f;
	int fd, e;

	e = identify(st, &f);
	if (e < 0)
		return e;
	fd = open_table(s, share, O_CREAT);
	if (fd < 0)
		return fd;
	atrest_encode_place(&f, r, place);
	return io_pwrite_full(fd, place, sizeof(place), place_of(&f));
}
