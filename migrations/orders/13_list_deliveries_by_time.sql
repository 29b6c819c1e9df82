-- A page of a webhook's deliveries is read from the index, which knows their order to the last of one moment. Without the id
-- all deliveries of the webhook would be read and sorted for it.
create index deliveries_by_webhook_and_time on orders.webhook_deliveries (webhook_id, created_at, id);
drop index orders.deliveries_by_webhook;
