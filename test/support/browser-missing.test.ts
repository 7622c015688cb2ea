import { expect, test } from 'vitest';
import { findChromium, NO_CHROMIUM } from './browser.ts';

test('a Chromium is installed', () => {
  expect(findChromium(), NO_CHROMIUM).toBeDefined();
});
