select * from warehouse.orders
