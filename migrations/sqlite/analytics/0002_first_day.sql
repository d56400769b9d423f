-- The first day of a click of the subject; unknown in rows that were written before this column was there.
ALTER TABLE totals ADD COLUMN first_day INTEGER;
