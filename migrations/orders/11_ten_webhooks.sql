-- A user has ten webhooks at most, however many requests for more come together: a statement cannot see what others have not
-- committed yet. So one waits for the other here, and the count sees what has been committed before it, unlike the statement.

create function orders.keep_to_ten_webhooks() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('webhooks of ' || new.created_by, 0));
    if (select count(*) from orders.webhooks where created_by = new.created_by) >= 10 then
        -- Nothing is inserted, which tells whoever asked that there are ten.
        return null;
    end if;
    return new;
end
$$;

create trigger ten_webhooks_at_most
    before insert on orders.webhooks
    for each row execute function orders.keep_to_ten_webhooks();
