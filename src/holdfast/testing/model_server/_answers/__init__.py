"""From a prompt to an answer, the same one every time; knows neither HTTP nor a vendor's protocol."""
