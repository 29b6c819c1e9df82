-- An operator is told the story of a payment also when it was retired.
grant select on payments.archived_payments to payments_service;
