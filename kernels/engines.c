/* SPDX-License-Identifier: Apache-2.0 */
/* engines -- which engine runs a recipe; see engines.h. */
#include "kernels/engines.h"

#include "kernels/chunked.h"
#include "kernels/decode.h"
#include "kernels/recurrent.h"

const gdn_engine *gdn_recipe_engine(const gdn_recipe *recipe)
{
    static const gdn_engine *const engines[GDN_ALGORITHMS] = {&gdn_recurrent_engine, &gdn_chunked_engine,
                                                              &gdn_decode_engine};
    return engines[recipe->algorithm];
}
