import segue


@segue.function
def churn_risk(tenure_months: int, monthly_fee_cents: int, open_tickets: int) -> float:
    """How likely a customer is to leave, from 0 to 1: a rule of thumb, where a trained model could stand."""
    risk = 0.2 + 0.1 * open_tickets + monthly_fee_cents / 20_000 - tenure_months / 100
    return round(min(max(risk, 0.0), 1.0), 2)
