/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engines -- which engine runs a recipe: one row an algorithm.
 */
#ifndef GDN_KERNELS_ENGINES_H
#define GDN_KERNELS_ENGINES_H

#include "base/engine.h"
#include "kernels/recipe.h"

/* The CPU engine that runs the recipe. */
const gdn_engine *gdn_recipe_engine(const gdn_recipe *recipe);

#endif
