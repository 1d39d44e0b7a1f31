#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/session/content.h"
#include "daemon/session/reading.h"
#include "daemon/session/sync.h"
#include "daemon/session/upload.h"
#include "lib/err.h"
#include "lib/own.h"

/* Reads all of it, whatever is noted: the receipt is about what the disk has. 0 or a refusal. */
static int
read_all(struct session *s, const struct upload *u, struct reading *d)
{
	uint64_t left = u->transfer.expected, at = 0;
	const char *code;
	size_t n;
	int r = 0;

	for (; r == 0 && left > 0; left -= n, at += n) {
		n = left < SESSION_CHUNK ? (size_t)left : SESSION_CHUNK;
		if (gap_check(s, &code) < 0)
			return err_from_code(code);
		r = content_read(d->fd, s->chunk, n, at);
		if (r == 0)
			reading_update(d, s->chunk, n);
		report_heartbeat(s);
	}
	return r;
}

/* Compares the content of the open file with the digest. 1 equal, 0 not; negative: a refusal. */
static int
has_digest(struct session *s, const struct upload *u, int fd, const struct entry_stat *st)
{
	struct reading d = { .s = s,
			     .share = u->place->share,
			     .fd = fd,
			     .st = st,
			     .name = u->place->name,
			     .algorithm = u->transfer.digest.algorithm,
			     .whole = true,
			     .fresh = true };
	struct digest_value is;
	int r = session_chunk(s) != NULL ? reading_begin(&d) : -ENOMEM;

	if (r == 0)
		r = read_all(s, u, &d);
	if (r == 0)
		r = content_unchanged(fd, st);
	if (r == 0)
		r = reading_end(&d, &is);
	reading_done(&d);
	/* what was changed or damaged is replaced */
	if (r < 0)
		return r == -FTD_E_changed || r == -FTD_E_digest_mismatch ? 0 : r;
	return digest_equal(&is, &u->transfer.digest);
}

/* The receipt's promise holds for a file that came by another way, too. */
static int
make_durable(const struct upload *u, enum config_durability d, int fd)
{
	if (d != CONFIG_DURABILITY_NONE && fsync(fd) < 0)
		return -errno;
	if (d == CONFIG_DURABILITY_FULL && fsync(u->publish.target_dir) < 0)
		return -errno;
	return 0;
}

static json_t *
receipt_of(const struct upload *u, enum config_durability d, const struct entry_stat *st)
{
	char digest[DIGEST_TEXT_MAX], etag[ENTRY_ETAG_MAX];

	return json_pack("{s:I, s:s, s:I, s:s, s:s, s:b}", "filesize", (json_int_t)st->size,
			 "digest", digest_format(&u->transfer.digest, digest), "mtime_ns",
			 (json_int_t)st->mtime_ns, "etag", entry_etag(st, etag), "durability",
			 sync_durability_name(d), "unchanged", 1);
}

int
expect_unchanged(struct session *s, struct upload *u)
{
	enum config_durability d = s->config->shares[u->place->share].durability;
	struct publish *p = &u->publish;
	auto_close int fd = -1;
	struct entry_stat st;
	int r;

	if (!u->transfer.has_digest || u->transfer.expected == UINT64_MAX ||
	    !(p->rights & RIGHT_READ))
		return 0;
	fd = path_open(p->target_dir, p->leaf, O_RDONLY, 0, false);
	if (fd < 0 || entry_stat(fd, NULL, &st) < 0)
		return 0;
	if (!S_ISREG(st.mode) || st.size != u->transfer.expected)
		return 0;

	report_state(s, BOARD_VERIFYING);
	(void)beat_begin(s, u->rq, "verifying");
	r = has_digest(s, u, fd, &st);
	if (r == 1 && make_durable(u, d, fd) < 0)
		r = -EIO;
	beat_end(s);
	report_state(s, BOARD_RECEIVING);
	if (r != 1)
		return r;
	u->extra = receipt_of(u, d, &st);
	return u->extra != NULL ? 1 : -ENOMEM;
}
