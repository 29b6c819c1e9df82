-- An operator is told the story of an order also when it was retired.
grant select on orders.archived_orders to orders_service;
