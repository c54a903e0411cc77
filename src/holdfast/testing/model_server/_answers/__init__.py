"""From a prompt to an answer, the same every time; knows neither HTTP nor a vendor's protocol."""
