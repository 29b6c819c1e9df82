-- How each of the latest attempts to deliver a message has ended, the oldest first, for the owner of the webhook.
alter table orders.webhook_deliveries add column history jsonb not null default '[]';
