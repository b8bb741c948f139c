/* The locks of the table's groups, and the repair of what dead holders left. table.c explains why
 * this is safe. Called by table_write.c, from any thread of any child.
 */
#include "shm/table_layout.h"

/* Clears the tags and states of all but live entries. For the lock's holder. */
static void clear_dead(const la_table_t *table, uint32_t group)
{
    for (uint32_t way = 0; way < LA_TABLE_WAYS; way++) {
        if (!la_table_is_live(table, group, way)) {
            la_table_retire(la_table_chunk(table, group, way));
            la_table_set_tag(table, group, way, 0);
        }
    }
}

apr_status_t la_table_lock(const la_table_t *table, uint32_t group, apr_interval_time_t wait_us)
{
    la_lock_e taken = la_lock_take(table->life, &table->locks[group].lock, wait_us);

    if (taken == LA_LOCK_INHERITED) {
        clear_dead(table, group);
    }
    return taken == LA_LOCK_BUSY ? APR_TIMEUP : APR_SUCCESS;
}

void la_table_unlock(const la_table_t *table, uint32_t group)
{
    la_lock_release(&table->locks[group].lock);
}

void la_table_tidy(const la_table_t *table, uint32_t group)
{
    if (la_table_lock(table, group, 0) == APR_SUCCESS) {
        clear_dead(table, group);
        la_table_unlock(table, group);
    }
}
