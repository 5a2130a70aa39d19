// SPDX-License-Identifier: GPL-2.0-only
/*
 * canary: seeded bugs, one for each detector of the debug kernels.
 *
 * The name of a bug written to debugfs canary/bug commits it. A detector that
 * stays silent then would also be silent about ffiguard, so check-detectors
 * fails. Bugs happen in the writer's context, outside of any lock of ours, so
 * that one that kills the writer leaves the file usable for the next.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(canary_first);
static DEFINE_MUTEX(canary_second);
static DEFINE_SPINLOCK(canary_spin);
static struct dentry *canary_dir;
static void __rcu *canary_pointer;
static unsigned long canary_racy;
static unsigned long canary_sink;

/* What the compiler must neither know nor leave out. */
static noinline unsigned int canary_hide(unsigned int value)
{
	OPTIMIZER_HIDE_VAR(value);
	return value;
}

static noinline void *canary_kmalloc(size_t size)
{
	void *memory = kmalloc(canary_hide(size), GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
	return memory;
}

static noinline void canary_use(unsigned long value)
{
	WRITE_ONCE(canary_sink, value);
}

static int canary_none(void)
{
	return 0;
}

static int canary_alloc(void)
{
	void *memory = canary_kmalloc(128);

	if (!memory)
		return -ENOMEM;
	kfree(memory);
	return 0;
}

static int canary_out_of_bounds(void)
{
	char *memory = canary_kmalloc(100);

	if (!memory)
		return -ENOMEM;
	canary_use(READ_ONCE(memory[canary_hide(100)]));
	kfree(memory);
	return 0;
}

static int canary_use_after_free(void)
{
	char *memory = canary_kmalloc(100);

	if (!memory)
		return -ENOMEM;
	kfree(memory);
	canary_use(READ_ONCE(memory[4]));
	return 0;
}

static int canary_leak(void)
{
	int i;

	/* More than one: a stale register may still point to the last. */
	for (i = 0; i < 8; i++)
		canary_kmalloc(200);
	return 0;
}

static int canary_lock_order(void)
{
	mutex_lock(&canary_first);
	mutex_lock(&canary_second);
	mutex_unlock(&canary_second);
	mutex_unlock(&canary_first);

	mutex_lock(&canary_second);
	mutex_lock(&canary_first);
	mutex_unlock(&canary_first);
	mutex_unlock(&canary_second);
	return 0;
}

static int canary_lock_kept(void)
{
	mutex_lock(&canary_first);
	return 0;
}

static int canary_sleep(void)
{
	spin_lock(&canary_spin);
	mutex_lock(&canary_first);
	mutex_unlock(&canary_first);
	spin_unlock(&canary_spin);
	return 0;
}

static int canary_rcu(void)
{
	canary_use((unsigned long)rcu_dereference(canary_pointer));
	return 0;
}

static int canary_list(void)
{
	LIST_HEAD(head);
	struct list_head entry;

	list_add(&entry, &head);
	entry.next = &entry;
	list_del(&entry);
	return 0;
}

static int canary_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return -ENOMEM;
	__free_page(page);
	/* DEBUG_VM: a reference to a page that has none. */
	get_page(page);
	return 0;
}

static void canary_tick(struct timer_list *timer)
{
}

static int canary_object(void)
{
	struct timer_list *timer = canary_kmalloc(sizeof(*timer));

	if (!timer)
		return -ENOMEM;
	timer_setup(timer, canary_tick, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	/* DEBUG_OBJECTS switches the timer off before it goes. */
	kfree(timer);
	return 0;
}

static int canary_array(void)
{
	unsigned long array[4] = { 1, 2, 3, 4 };

	canary_use(array[canary_hide(1)]);
	canary_use(array[canary_hide(4)]);
	return 0;
}

static int canary_shift(void)
{
	canary_use(1U << canary_hide(33));
	return 0;
}

static int canary_cache(void)
{
	struct kmem_cache *cache = kmem_cache_create("canary", 64, 0, 0, NULL);

	if (!cache)
		return -ENOMEM;
	canary_use((unsigned long)kmem_cache_alloc(cache, GFP_KERNEL));
	kmem_cache_destroy(cache);
	return 0;
}

static int canary_warn(void)
{
	WARN(canary_hide(1), "seeded\n");
	return 0;
}

static int canary_runner(void *unused)
{
	while (!kthread_should_stop()) {
		int i;

		for (i = 0; i < 1000; i++) {
			canary_racy++;
			barrier();
		}
		cond_resched();
	}
	return 0;
}

static int canary_race(void)
{
	struct task_struct *task[2];
	int i;

	for (i = 0; i < 2; i++) {
		task[i] = kthread_run(canary_runner, NULL, "canary/%d", i);
		if (IS_ERR(task[i])) {
			while (i--)
				kthread_stop(task[i]);
			return -ENOMEM;
		}
	}
	msleep(3000);
	for (i = 0; i < 2; i++)
		kthread_stop(task[i]);
	return 0;
}

static const struct {
	const char *name;
	int (*commit)(void);
} canary_bugs[] = {
	{ "alloc", canary_alloc },
	{ "array", canary_array },
	{ "cache", canary_cache },
	{ "leak", canary_leak },
	{ "list", canary_list },
	{ "lock-kept", canary_lock_kept },
	{ "lock-order", canary_lock_order },
	{ "none", canary_none },
	{ "object", canary_object },
	{ "out-of-bounds", canary_out_of_bounds },
	{ "page", canary_page },
	{ "race", canary_race },
	{ "rcu", canary_rcu },
	{ "shift", canary_shift },
	{ "sleep", canary_sleep },
	{ "use-after-free", canary_use_after_free },
	{ "warn", canary_warn },
};

static ssize_t canary_write(struct file *file, const char __user *from,
			    size_t count, loff_t *offset)
{
	char name[32] = "";
	int i, ret;

	if (count >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, from, count))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(canary_bugs); i++) {
		if (!sysfs_streq(name, canary_bugs[i].name))
			continue;
		pr_notice("now: %s\n", canary_bugs[i].name);
		ret = canary_bugs[i].commit();
		pr_notice("%s says %d\n", canary_bugs[i].name, ret);
		return ret ?: count;
	}
	return -EINVAL;
}

static const struct file_operations canary_fops = {
	.owner = THIS_MODULE,
	.write = canary_write,
};

static int __init canary_init(void)
{
	canary_dir = debugfs_create_dir(KBUILD_MODNAME, NULL);
	/* The safe kind would wait at exit for a writer that an oops ended. */
	debugfs_create_file_unsafe("bug", 0200, canary_dir, NULL, &canary_fops);
	return 0;
}

static void __exit canary_exit(void)
{
	debugfs_remove(canary_dir);
}

module_init(canary_init);
module_exit(canary_exit);

MODULE_DESCRIPTION("Seeded bugs for the detectors of a debug kernel");
MODULE_AUTHOR("The ffiguard authors");
MODULE_LICENSE("GPL");
