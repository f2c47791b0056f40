"""Certificates of charge points over OCPP, as state tables. Pure: shells store the states and perform the steps."""
