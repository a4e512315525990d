/** What callers know by name. */

import { Failure } from "endpointd-guest";

class InventoryError extends Failure {
  static module = "inventory.exceptions";
  static expected = true;
}

export class InvalidQuantity extends InventoryError {
  constructor(name: string, quantity: number) {
    super(`the quantity of ${name} cannot be ${quantity}`, { kwargs: { name, quantity } });
  }
}

export class ItemNotFound extends InventoryError {
  constructor(name: string) {
    super(`there is no item ${name}`, { kwargs: { name } });
  }
}
