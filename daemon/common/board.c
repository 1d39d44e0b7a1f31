#include "daemon/common/board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/own.h"

enum { READ_TRIES = 100 };

/* A fresh inode: a role of an earlier daemon may still map the old one. */
static int
create_file(int dir, const char *name, size_t size, int *ret_rw, int *ret_ro)
{
	auto_close int rw = -1;
	auto_close int ro = -1;

	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return -errno;
	rw = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (rw < 0)
		return -errno;
	if (ftruncate(rw, (off_t)size) < 0)
		return -errno;
	if (ret_ro != NULL) {
		ro = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (ro < 0)
			return -errno;
		*ret_ro = take_fd(&ro);
	}
	*ret_rw = take_fd(&rw);
	return 0;
}

static int
map_file(int fd, size_t size, void **ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret = p;
	return 0;
}

static void
write_header(void *page, uint32_t slots)
{
	struct board_header *h = page;
	auto_free char *boot = NULL;
	size_t len;

	memcpy(h->magic, "FTDBOARD", sizeof(h->magic));
	h->version = BOARD_VERSION;
	h->slots = slots;
	h->orders_size = sizeof(struct board_orders);
	h->report_size = sizeof(struct board_report);
	if (io_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", sizeof(h->boot_id), &boot,
			 &len) == 0)
		(void)snprintf(h->boot_id, sizeof(h->boot_id), "%.36s", boot);
}

static struct boards
no_boards(uint32_t slots)
{
	return (struct boards){
		.slots = slots,
		.orders_fd = -1,
		.reports_fd = -1,
		.public_fd = -1,
		.orders_ro_fd = -1,
		.public_ro_fd = -1,
	};
}

/* Whatever stands there, or nothing but zeros. */
static int
map_all(struct boards *b)
{
	size_t size = ((size_t)b->slots + 1) * BOARD_PAGE;
	void *orders = NULL, *reports = NULL, *public = NULL;
	int r;

	r = map_file(b->orders_fd, size, &orders);
	if (r == 0)
		r = map_file(b->reports_fd, size, &reports);
	if (r == 0)
		r = map_file(b->public_fd, BOARD_PAGE, &public);
	b->orders = orders;
	b->reports = reports;
	b->public = public;
	return r;
}

int
boards_create(struct boards *b, int runtime_dir, uint32_t slots)
{
	size_t size = ((size_t)slots + 1) * BOARD_PAGE;
	int r;

	*b = no_boards(slots);
	r = create_file(runtime_dir, "orders", size, &b->orders_fd, &b->orders_ro_fd);
	if (r == 0)
		r = create_file(runtime_dir, "reports", size, &b->reports_fd, NULL);
	if (r == 0)
		r = create_file(runtime_dir, "public", BOARD_PAGE, &b->public_fd, &b->public_ro_fd);
	if (r == 0)
		r = map_all(b);
	if (r < 0) {
		boards_done(b);
		return r;
	}
	write_header(b->orders, slots);
	write_header(b->reports, slots);
	return 0;
}

/* --- what a former supervisor left */

/* Only what it can have made itself: a file of another length would be a SIGBUS. */
static int
reopen_file(int dir, const char *name, size_t size, int *ret_rw, int *ret_ro)
{
	auto_close int rw = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	auto_close int ro = -1;
	struct stat st;

	if (rw < 0 || fstat(rw, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0177) != 0 ||
	    st.st_size != (off_t)size)
		return -ESTALE;
	if (ret_ro != NULL) {
		ro = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (ro < 0)
			return -errno;
		*ret_ro = take_fd(&ro);
	}
	*ret_rw = take_fd(&rw);
	return 0;
}

static bool
is_current(const void *page, uint32_t slots)
{
	struct board_header now = { .version = 0 };

	write_header(&now, slots);
	return now.boot_id[0] != '\0' && memcmp(page, &now, sizeof(now)) == 0;
}

/* Of a writer that was killed in the middle. */
static void
end_cut_write(board_seq *seq)
{
	if ((atomic_load(seq) & 1) != 0)
		board_write_end(seq);
}

int
boards_reopen(struct boards *b, int runtime_dir, uint32_t slots)
{
	size_t size = ((size_t)slots + 1) * BOARD_PAGE;
	int r;

	*b = no_boards(slots);
	r = reopen_file(runtime_dir, "orders", size, &b->orders_fd, &b->orders_ro_fd);
	if (r == 0)
		r = reopen_file(runtime_dir, "reports", size, &b->reports_fd, NULL);
	if (r == 0)
		r = reopen_file(runtime_dir, "public", BOARD_PAGE, &b->public_fd, &b->public_ro_fd);
	if (r == 0)
		r = map_all(b);
	if (r == 0 && (!is_current(b->orders, slots) || !is_current(b->reports, slots)))
		r = -ESTALE;
	if (r < 0)
		boards_done(b);
	else
		end_cut_write(&b->public->seq);
	return r;
}

static bool
is_process(const struct board_process *p)
{
	return p->pid == 0 || (p->pid > 1 && p->asked_usec > 0 && p->asked_usec <= p->born_usec);
}

static bool
are_sound(const struct board_orders *o, uint32_t slot)
{
	return o->slot == slot && o->session <= INT64_MAX && o->transfer_id <= INT64_MAX &&
	       is_process(&o->process) && is_process(&o->pump) &&
	       memchr(o->user, '\0', sizeof(o->user)) != NULL &&
	       memchr(o->reason, '\0', sizeof(o->reason)) != NULL &&
	       (o->peer.sa.sa_family == AF_INET || o->peer.sa.sa_family == AF_INET6);
}

int
board_read_orders(const struct boards *b, uint32_t slot, struct board_orders *ret)
{
	struct board_orders *o = board_orders_at(b, slot);

	if (o->session == 0)
		return -ENOENT;
	end_cut_write(&o->seq);
	memcpy(ret, o, sizeof(*ret));
	return are_sound(ret, slot) ? 0 : -EBADMSG;
}

void
boards_done(struct boards *b)
{
	size_t size = ((size_t)b->slots + 1) * BOARD_PAGE;

	if (b->orders != NULL)
		(void)munmap(b->orders, size);
	if (b->reports != NULL)
		(void)munmap(b->reports, size);
	if (b->public != NULL)
		(void)munmap(b->public, BOARD_PAGE);
	close_fd(&b->orders_fd);
	close_fd(&b->reports_fd);
	close_fd(&b->public_fd);
	close_fd(&b->orders_ro_fd);
	close_fd(&b->public_ro_fd);
	b->orders = NULL;
	b->reports = NULL;
	b->public = NULL;
}

static void *
slot_page(void *base, uint32_t slot)
{
	return (uint8_t *)base + ((size_t)slot + 1) * BOARD_PAGE;
}

uint32_t
boards_next_written(const struct boards *b, uint32_t from)
{
	off_t at = lseek(b->orders_fd, ((off_t)from + 1) * BOARD_PAGE, SEEK_DATA);

	if (from >= b->slots || (at < 0 && errno == ENXIO))
		return b->slots;
	return at < 0 ? from : (uint32_t)(at / BOARD_PAGE) - 1;
}

struct board_orders *
board_orders_at(const struct boards *b, uint32_t slot)
{
	return slot_page(b->orders, slot);
}

struct board_report *
board_report_at(const struct boards *b, uint32_t slot)
{
	return slot_page(b->reports, slot);
}

/* The writer's page may change under the copy; the number before and after tells. */
static int
read_stable(const board_seq *seq, const void *page, void *ret, size_t size)
{
	uint_fast32_t before, after;

	for (int i = 0; i < READ_TRIES; i++) {
		before = atomic_load_explicit(seq, memory_order_acquire);
		memcpy(ret, page, size);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(seq, memory_order_relaxed);
		if (before == after && (before & 1) == 0)
			return 0;
	}
	return -EAGAIN;
}

static void
bound_result(struct board_result *l)
{
	if (l->path_len > sizeof(l->path))
		l->path_len = sizeof(l->path);
	l->opt[sizeof(l->opt) - 1] = '\0';
	l->result[sizeof(l->result) - 1] = '\0';
	l->reason[sizeof(l->reason) - 1] = '\0';
}

int
board_read_report(const struct board_report *r, struct board_report *ret)
{
	int e = read_stable(&r->seq, r, ret, sizeof(*ret));

	if (ret->path_len > sizeof(ret->path))
		ret->path_len = sizeof(ret->path);
	if (ret->state >= BOARD_STATES)
		ret->state = BOARD_WORKING;
	ret->opt[sizeof(ret->opt) - 1] = '\0';
	bound_result(&ret->last);
	return e;
}

int
board_read_public(const struct board_public *p, struct board_public *ret)
{
	int e = read_stable(&p->seq, p, ret, sizeof(*ret));

	ret->version[sizeof(ret->version) - 1] = '\0';
	if (ret->n_listen > ARRAY_SIZE(ret->listen))
		ret->n_listen = ARRAY_SIZE(ret->listen);
	return e;
}

void
board_write_begin(board_seq *seq)
{
	atomic_fetch_add_explicit(seq, 1, memory_order_acq_rel);
	atomic_thread_fence(memory_order_release);
}

void
board_write_end(board_seq *seq)
{
	atomic_fetch_add_explicit(seq, 1, memory_order_release);
}

void *
board_map_slot(int fd, uint32_t slot, bool writable)
{
	void *p = mmap(NULL, BOARD_PAGE, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED,
		       fd, ((off_t)slot + 1) * BOARD_PAGE);

	return p == MAP_FAILED ? NULL : p;
}

const struct board_public *
board_map_public(int fd)
{
	void *p = mmap(NULL, BOARD_PAGE, PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}
