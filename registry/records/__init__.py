"""The database: its tables, transactions, and the functions that find, make and retire records."""
