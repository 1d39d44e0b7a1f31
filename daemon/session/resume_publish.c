/* A resumable upload gets its name, and its record the receipt. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/session/claim.h"
#include "daemon/session/resume.h"
#include "daemon/session/sync.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

/* Puts it into the record, for the client that does not hear it. */
static int
note_receipt(struct session *s, struct upload *u, struct partial *p, enum record_phase phase)
{
	struct record_state *state = &p->state;
	size_t n;

	json_decref(u->extra);
	u->extra = publish_receipt(s, &u->publish);
	if (u->extra == NULL)
		return -ENOMEM;
	n = json_dumpb(u->extra, state->receipt.text, sizeof(state->receipt.text), JSON_COMPACT);
	if (n > sizeof(state->receipt.text))
		return -ENOBUFS;
	state->receipt.len = (unsigned)n;
	state->phase = phase;
	state->ranges.n = 0;
	if (phase == RECORD_PUBLISHING)
		(void)record_add(&state->ranges, 0, u->transfer.size);
	return partial_store(p);
}

/* From when it began, wherever that was, with all that came for it. */
static void
count_whole(struct publish *p, const struct partial *of)
{
	int64_t age = clock_real_ns() - of->head.begun_ns;

	p->started_usec = clock_usec() - (age > 0 ? (uint64_t)age / NSEC_PER_USEC : 0);
	p->bytes = of->state.received;
	p->parts = of->state.parts;
}

/* What an earlier try wrote may be longer. */
static int
cut_off(const struct upload *u)
{
	int fd = u->publish.staging.fd;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((uint64_t)st.st_size > u->transfer.size && ftruncate(fd, (off_t)u->transfer.size) < 0)
		return -errno;
	return 0;
}

/* What the record says is there must be. */
static int
sync_content(struct publish *p)
{
	return fsync(p->staging.fd) < 0 ? -errno : entry_stat(p->staging.fd, NULL, &p->st);
}

/* Whoever is killed here leaves a record from which the next one knows how far it came. */
static int
take_name(struct session *s, struct upload *u, struct partial *p)
{
	struct publish *pub = &u->publish;
	int r = resume_check_claim(p);

	if (r == 0)
		r = note_receipt(s, u, p, RECORD_PUBLISHING);
	if (r < 0)
		return r;
	publish_all(s, pub, 1, &r);
	if (r == 0) {
		(void)note_receipt(s, u, p, RECORD_DONE);
		staging_discard(s, &pub->staging); /* the content has its name: the note goes */
		return u->extra != NULL ? 0 : -ENOMEM;
	}
	p->state.phase = RECORD_OPEN;
	(void)partial_store(p);
	json_decref(u->extra);
	u->extra =
	    pub->current != NULL ? json_pack("{s:o}", "current", take_ptr(pub->current)) : NULL;
	return r;
}

static int
publish(struct session *s, struct upload *u, struct partial *p)
{
	int r = sync_content(&u->publish);

	if (r == 0)
		r = partial_lock(p);
	if (r == 0) {
		r = take_name(s, u, p);
		partial_unlock(p);
	}
	return r == -ENOENT ? -FTD_E_upload_unknown : r;
}

int
resume_publish(struct session *s, struct upload *u, struct partial *p)
{
	struct publish *pub = &u->publish;
	int r = cut_off(u);

	if (r == 0)
		r = upload_finish(s, u);
	if (r < 0) {
		report_transfer_end(s, err_code(r), NULL);
		return r;
	}
	count_whole(pub, p);
	report_state(s, BOARD_SYNCING);
	(void)beat_begin(s, u->rq, "syncing");
	r = publish(s, u, p);
	beat_end(s);
	report_state(s, BOARD_WORKING);
	report_upload_end(s, pub, r < 0 ? err_code(r) : "ok", r < 0 ? err_text(r) : NULL);
	return r < 0 ? shares_told(pub->rights, r) : 0;
}

/* ---- one that has its name already */

/* What the receipt says, as far as it is needed. */
static int
read_receipt(const struct record_state *state, struct publish *p, json_t **ret)
{
	auto_json json_t *receipt = NULL;
	const char *digest, *etag;
	bool has_value = false;

	if (message_parse(state->receipt.text, state->receipt.len, &receipt) < 0)
		return -FTD_E_upload_unknown;
	digest = json_string_value(json_object_get(receipt, "digest"));
	etag = json_string_value(json_object_get(receipt, "etag"));
	if (digest == NULL || etag == NULL || strlen(etag) >= sizeof(p->etag) ||
	    digest_parse(digest, strlen(digest), &p->digest, &has_value) < 0 || !has_value)
		return -FTD_E_upload_unknown;
	memcpy(p->etag, etag, strlen(etag) + 1);
	*ret = take_ptr(receipt);
	return 0;
}

static bool
is_it(void *userdata, int dir, const char *leaf)
{
	struct publish *p = userdata;
	char etag[ENTRY_ETAG_MAX];

	return entry_stat(dir, leaf, &p->st) == 0 && strcmp(entry_etag(&p->st, etag), p->etag) == 0;
}

/* Opens the directory and finds the name that the file got there. */
static int
find(struct session *s, struct upload *u, const struct partial *p)
{
	struct publish *pub = &u->publish;
	const char *leaf;

	pub->target_dir = shares_open_parent(s, u->place, &leaf);
	if (pub->target_dir < 0)
		return -FTD_E_upload_unknown;
	(void)snprintf(pub->leaf, sizeof(pub->leaf), "%s", leaf);
	if (!claim_find(pub->target_dir, pub->leaf, is_it, pub))
		return -FTD_E_upload_unknown;
	pub->rights = u->place->rights;
	pub->staging.share = u->place->share;
	pub->staging.elsewhere = p->head.elsewhere;
	pub->name = strdup(u->place->name);
	pub->size = u->transfer.size = pub->st.size;
	return pub->name != NULL ? 0 : -ENOMEM;
}

int
resume_published(struct session *s, struct upload *u, struct partial *p)
{
	struct publish *pub = &u->publish;
	int r = read_receipt(&p->state, pub, &u->extra);

	if (r < 0 || p->state.phase == RECORD_DONE)
		return r;
	r = find(s, u, p);
	if (r == 0 && sync_durability(s, pub) == CONFIG_DURABILITY_FULL &&
	    fsync(pub->target_dir) < 0)
		r = -errno;
	if (r == 0)
		r = note_receipt(s, u, p, RECORD_DONE);
	if (r < 0)
		return r;
	count_whole(pub, p);
	report_upload_end(s, pub, "ok", NULL);
	return 0;
}
